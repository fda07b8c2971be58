"""A user study from videos to votes: build a folder, collect blind ballots, un-blind them."""

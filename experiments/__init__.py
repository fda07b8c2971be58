"""What was tried and shown with pfp: the demo, Table 1, the tiny family and the clips they draw."""

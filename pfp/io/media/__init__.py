"""Video files in and out: probe, read by timestamp, write, and decode in a killable child.

Every reader takes a path, a ``file://`` URI, or a URI that ``pfp.io.filesystems`` knows. Readers of
stored frames (``extent_of``, ``iter_stored``, ``read_video``) take folders of images, animated
images and still images, too; the others refuse them.
"""

from pfp.io.media.container import RejectedVideo as RejectedVideo
from pfp.io.media.extent import Extent as Extent
from pfp.io.media.frame_folder import images_in as images_in
from pfp.io.media.guard import Guard as Guard
from pfp.io.media.probe import Probe as Probe
from pfp.io.media.probe import probe as probe
from pfp.io.media.read import iter_frames as iter_frames
from pfp.io.media.read import read_frames as read_frames
from pfp.io.media.source import path_to_uri as path_to_uri
from pfp.io.media.source import shown_name as shown_name
from pfp.io.media.source import uri_to_path as uri_to_path
from pfp.io.media.stored import DEFAULT_IMAGE_FPS as DEFAULT_IMAGE_FPS
from pfp.io.media.stored import Reading as Reading
from pfp.io.media.stored import extent_of as extent_of
from pfp.io.media.stored import has_rate as has_rate
from pfp.io.media.stored import is_image as is_image
from pfp.io.media.stored import iter_stored as iter_stored
from pfp.io.media.stored import read_video as read_video
from pfp.io.media.timing import Times as Times
from pfp.io.media.timing import frame_times as frame_times
from pfp.io.media.write import write_video as write_video

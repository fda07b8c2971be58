"""The networks: rate arithmetic, memory encoder, backbones, VAEs, text encoders."""

import logging

# peft imports bitsandbytes where that is installed, which then warns of a kernel nobody asked for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

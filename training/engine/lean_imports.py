"""What a stage does not need stays out of its process.

With its modelling code transformers loads its losses for object detection, and they load scipy where it is installed:
40 MiB that no stage uses. Here they are loaded as if it were not there; scipy itself can be imported as ever.
"""

import transformers.utils

_is_there = transformers.utils.is_scipy_available
transformers.utils.is_scipy_available = lambda: False
try:
    import transformers.loss.loss_utils
finally:
    transformers.utils.is_scipy_available = _is_there

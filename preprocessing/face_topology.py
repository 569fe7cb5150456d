"""Which of mediapipe's 478 landmarks is what. *Left* and *right* are the image's: index 33 lies left of index 263."""

from __future__ import annotations

import numpy as np

NUM_LANDMARKS = 478

OUTER_EYE_CORNERS = (33, 263)
INNER_LIPS = np.array([[82, 87], [13, 14], [312, 317]])
"""[pair, upper or lower], at the middle of the mouth."""
CHIN = 152

RIGID = np.array(
    [
        *(10, 109, 338, 67, 297, 151, 9, 8),  # forehead, well above the brows, and between them
        *(168, 6, 197, 195, 5, 4, 122, 351, 196, 419, 188, 412, 174, 399),  # bridge and flanks of the nose
        *(33, 133, 362, 263, 130, 359, 243, 463),  # corners of the eyes
        *(21, 251, 162, 389, 127, 356, 139, 368, 34, 264, 143, 372),  # temples
        *(234, 454, 227, 447, 116, 345, 117, 346, 111, 340, 123, 352),  # cheekbones
    ]
)
"""Points that no expression moves: what the head pose is fitted to. Not eyelids, brows, mouth or jaw."""

LANDMARKS_68 = np.array(
    [
        *(127, 234, 93, 132, 58, 136, 149, 148, 152, 377, 378, 365, 288, 361, 323, 454, 356),  # 0 to 16: jaw
        *(70, 63, 105, 66, 107),  # 17 to 21: left brow
        *(336, 296, 334, 293, 300),  # 22 to 26: right brow
        *(168, 197, 5, 4),  # 27 to 30: bridge of the nose
        *(98, 97, 2, 326, 327),  # 31 to 35: below the nose
        *(33, 160, 158, 133, 153, 144),  # 36 to 41: left eye
        *(362, 385, 387, 263, 373, 380),  # 42 to 47: right eye
        *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # 48 to 59: outer lips
        *(78, 81, 13, 311, 308, 402, 14, 178),  # 60 to 67: inner lips
    ]
)
"""The paper's 68 landmarks (section 3.2), in the usual order of the iBUG annotation."""

EYE_CORNERS = np.array([[33, 133], [362, 263]])
"""[left or right, corner]."""
EYELIDS = np.array(
    [
        [[161, 163], [160, 144], [159, 145], [158, 153], [157, 154]],
        [[384, 381], [385, 380], [386, 374], [387, 373], [388, 390]],
    ]
)
"""[left or right, pair, upper or lower]."""

"""Groups of mediapipe's 478 landmarks. *Left* and *right* are the image's: landmark 33 lies left of landmark 263."""

from __future__ import annotations

import numpy as np

NUM_MESH_LANDMARKS = 478
NUM_SKIN_LANDMARKS = 468
"""Number of landmarks on the skin, which come first; the others are the irises'."""

OUTER_EYE_CORNERS = (33, 263)
MOUTH_SPAN = (61, 291, 0, 17, 13, 14)
"""Points that span the mouth: corners, upper and lower edge, and inner edges."""
INNER_LIPS = np.array([[81, 178], [82, 87], [13, 14], [312, 317], [311, 402]])
"""Facing points of the inner lips at the middle of the mouth: [pair, upper or lower]."""
CHIN, FOREHEAD = 152, 10
MIRROR_PAIRS = np.array([[33, 263], [133, 362], [127, 356], [234, 454]])
"""Points that mirror each other: [pair, left or right]."""
JAW_CONTOUR = np.array([58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288])
"""Lower edge of the face from one corner of the jaw to the other, from the image's left."""

RIGID = np.array(
    [
        *(10, 109, 338, 67, 297, 151, 9, 8),  # forehead, well above the brows, and between them
        *(168, 6, 197, 195, 5, 4, 122, 351, 196, 419, 188, 412, 174, 399),  # bridge and flanks of the nose
        *(33, 133, 362, 263, 130, 359, 243, 463),  # corners of the eyes
        *(21, 251, 162, 389, 127, 356, 139, 368, 34, 264, 143, 372),  # temples
        *(234, 454, 227, 447, 116, 345, 117, 346, 111, 340, 123, 352),  # cheekbones
    ]
)
"""Points that no expression moves, to which the head pose is fitted. Not eyelids, brows, mouth or jaw."""

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
"""The paper's 68 landmarks (section 3.2), in the order of the iBUG annotation."""

EYE_CORNERS = np.array([[33, 133], [362, 263]])
"""Corners of each eye: [left or right, corner]."""
EYELIDS = np.array(
    [
        [[161, 163], [160, 144], [159, 145], [158, 153], [157, 154]],
        [[384, 381], [385, 380], [386, 374], [387, 373], [388, 390]],
    ]
)
"""Facing points of the lids of each eye: [left or right, pair, upper or lower]."""

FACE_OVAL = np.array(
    [
        *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
        *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
    ]
)
"""Outline of the face, in order."""
EYE_CONTOURS = (
    np.array([33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7]),
    np.array([362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382]),
)
"""Outlines of the eyes, the one on the image's left first."""
BROW_CONTOURS = (
    np.array([70, 63, 105, 66, 107, 55, 65, 52, 53, 46]),
    np.array([336, 296, 334, 293, 300, 276, 283, 282, 295, 285]),
)
"""Outlines of the brows, the one on the image's left first."""
LIP_CONTOURS = (
    np.array([61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146]),
    np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95]),
)
"""Outer and inner outline of the lips."""
NOSE_BASE = np.array([2, 98, 327])

"""Import of data folders that AD-NeRF, RAD-NeRF, ER-NeRF, SyncTalk and their relatives train from."""

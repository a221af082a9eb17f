"""From a model file to predictions: loading, the queue of requests, pre- and postprocessing, streams."""

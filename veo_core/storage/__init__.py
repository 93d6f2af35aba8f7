"""Object stores: local folders and buckets behind one content-addressed interface."""

from veo_core.storage.store import Store

__all__ = ["Store"]

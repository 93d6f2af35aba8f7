from buckets import bucket, gcs_root, s3_root

__all__ = ["bucket", "gcs_root", "s3_root"]

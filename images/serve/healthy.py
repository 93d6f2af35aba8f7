"""Exit with 0 if the server in this container says that it is well."""

import os
import urllib.request

port = os.environ.get("AIP_HTTP_PORT") or os.environ.get("VEO_SERVE_PORT") or "8080"
route = os.environ.get("AIP_HEALTH_ROUTE") or "/health"
urllib.request.urlopen(f"http://127.0.0.1:{port}{route}", timeout=4).close()

"""The lock that every parallel compiled function of the package runs under."""

import threading

LOCK = threading.Lock()
"""numba's fallback threading layer aborts the process when two Python threads start parallel functions at once."""

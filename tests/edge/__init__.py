"""The edge: bytes as clients, proxies and attackers send them, on raw sockets."""

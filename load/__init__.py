"""What measures Waitline: request scripts, and the servers it is compared with."""

"""TODO waitline.services.queue."""

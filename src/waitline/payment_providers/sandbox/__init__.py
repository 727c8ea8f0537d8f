"""TODO waitline.payment_providers.sandbox."""

"""A Django site behind a waiting room: python examples/django_site.py.

In one file, to be short; the two settings at the top are all that the connector needs.
"""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.urls import path

import shop

settings.configure(
    MIDDLEWARE=["waitline_connect.django.WaitlineMiddleware"],
    WAITLINE=shop.SETTINGS,
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for the example only",  # noqa: S106
)


def home(_request: HttpRequest) -> HttpResponse:
    """Show the page that anybody may see."""
    return HttpResponse(shop.page("home"))


def tickets(request: HttpRequest) -> HttpResponse:
    """Show the page behind the waiting room."""
    return HttpResponse(shop.page("tickets", request.waitline))


def order(request: HttpRequest) -> HttpResponse:
    """Take an order, which ends the visit."""
    return HttpResponse(shop.page("ordered", request.waitline), headers=shop.LEAVE)


def style(_request: HttpRequest) -> HttpResponse:
    """Return the style sheet."""
    return HttpResponse(shop.style(), content_type="text/css")


urlpatterns = [
    path("", home),
    path("tickets", tickets),
    path("tickets/order", order),
    path("static/style.css", style),
]

if __name__ == "__main__":
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", f"127.0.0.1:{shop.PORT}"])

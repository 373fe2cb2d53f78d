"""
A portal with Django that sells credit: the order and the recharge are one transaction.
"""

import json

from django.db import IntegrityError, models, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django_cards import joined_book

from voipcard.errors import OperationConflictError, StaleError, StoreBusyError, UnknownCardError

REFUSALS = {
    UnknownCardError: 404,
    OperationConflictError: 409,
    IntegrityError: 409,
    StaleError: 503,
    StoreBusyError: 503,
}


class Order(models.Model):
    """
    An order that was paid.
    """

    number = models.CharField(max_length=32, primary_key=True)
    serial = models.CharField(max_length=32)

    class Meta:
        """
        The application of the project that it belongs to.
        """

        app_label = "portal"

    def __str__(self) -> str:
        return self.number


mailed: list[str] = []


def send_mail(number: str) -> None:
    """
    Tell the customer, which no rollback takes back.
    """
    mailed.append(number)


@csrf_exempt
def buy(request: HttpRequest) -> JsonResponse:
    """
    Sell credit.
    """
    order = json.loads(request.body)
    try:
        with transaction.atomic(), joined_book() as book:
            cards = book.extension("0003*215")
            entry = cards.recharge(order["serial"], order["amount"], order_number=order["number"])
            if not entry.replayed:
                Order.objects.create(number=order["number"], serial=order["serial"])
                transaction.on_commit(lambda: send_mail(order["number"]))
    except tuple(REFUSALS) as error:
        return JsonResponse({"refused": type(error).__name__}, status=REFUSALS[type(error)])

    return JsonResponse({"credit": str(entry.credit_left), "new": not entry.replayed})


urlpatterns = [path("orders", buy)]

"""What happens when somebody signs up?"""

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from dripdrop.integrations.django import joined

from .models import Customer


class CardDeclined(Exception):
    """It comes after the enrollment, and takes it back."""


@csrf_exempt
@require_POST
def sign_up(request: HttpRequest) -> HttpResponse:
    try:
        with transaction.atomic():
            customer = Customer.objects.create(
                email=request.POST["email"], name=request.POST["name"], plan=request.POST.get("plan", "free")
            )
            joined().enroll(
                "welcome",
                subscriber=("customer", customer.email),
                data={"email": customer.email, "name": customer.name},
            )
            if request.POST.get("card") == "declined":
                raise CardDeclined
    except CardDeclined:
        return HttpResponse("The card was declined.\n", status=402)
    return HttpResponse(f"Welcome, {customer.name}.\n", status=201)

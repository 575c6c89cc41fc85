"""Which events does each provider publish? Its page's own list, and how a payload says which of them it is.

An event that is told in several ways (a bounce has types) is listed as `event/type`. A list is what the page named
beside it says, read on the day its recordings say (where it names a day, on that one); a table of a provider of ours
may not know an event that is not here, and none that is here may lack a recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dripdrop.channels.bodies import child, string
from dripdrop.channels.chat import telegram, whatsapp
from dripdrop.channels.email import mailersend, mailgun, postmark, resend, sendgrid, ses_events
from dripdrop.channels.sms import twilio

Payload = Mapping[str, Any]


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def under(event: str, text: str) -> frozenset[str]:
    return frozenset(f"{event}/{each}" for each in text.split())


EVENTS: Mapping[str, frozenset[str]] = {
    # https://documentation.mailgun.com/docs/mailgun/user-manual/events/event-types, read 2026-11-22. That of lists
    # (/events/events: list_member_uploaded and the like) /webhooks/webhook-payloads knows nothing.
    "mailgun": words("accepted rejected delivered opened clicked unsubscribed complained stored inbound")
    | under("failed", "temporary permanent"),
    # https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event, read 2026-11-22
    "sendgrid": words(
        "processed dropped delivered deferred bounce blocked open click spamreport unsubscribe group_unsubscribe "
        "group_resubscribe account_status_change inbound"
    ),
    # Postmark's own pages could not be read on 2026-11-22. Read then: the kinds of a bounce, in its client
    # (https://github.com/ActiveCampaign/postmark.js/blob/master/src/client/models/webhooks/enums/BounceTypeCode.ts),
    # why an address is suppressed (its postmark-python/blob/main/postmark/models/suppressions/enums.py), and the
    # records (its postmark-skills/blob/main/postmark-webhooks/SKILL.md).
    "postmark": words("Delivery SpamComplaint Open Click Inbound")
    | under("SubscriptionChange", "HardBounce SpamComplaint ManualSuppression reactivated")
    | under(
        "Bounce",
        "HardBounce Transient Unsubscribe Subscribe AutoResponder AddressChange DnsError SpamNotification "
        "OpenRelayTest Unknown SoftBounce VirusNotification ChallengeVerification BadEmailAddress ManuallyDeactivated "
        "Unconfirmed Blocked SMTPApiError InboundError DMARCPolicy TemplateRenderingFailed",
    ),
    # MailerSend's own page could not be read on 2026-11-22. Read then: its client
    # (https://github.com/mailersend/mailersend-nodejs/blob/main/src/models/email/EmailWebhook.ts), and where its ping,
    # `suppressed` and `inbound_message.rejected` are recorded from.
    "mailersend": words(
        "inbound.message webhook.test sender_identity.verified maintenance.start maintenance.end "
        "inbound_forward.failed inbound_message.rejected email_single.verified email_list.verified "
        "email_list.created bulk_email.completed recipient.on_hold_added recipient.on_hold_removed"
    )
    | frozenset(
        f"activity.{each}"
        for each in words(
            "sent delivered soft_bounced hard_bounced deferred opened opened_unique clicked clicked_unique "
            "unsubscribed spam_complaint suppressed survey_opened survey_submitted"
        )
    ),
    # https://resend.com/docs/webhooks/event-types, read 2026-11-22
    "resend": words(
        "email.sent email.scheduled email.delivered email.delivery_delayed email.complained email.bounced "
        "email.opened email.clicked email.received email.failed email.suppressed contact.created contact.updated "
        "contact.deleted contact.topics.updated topic.created topic.updated topic.deleted domain.created "
        "domain.updated domain.deleted suppression.added suppression.removed "
        "inbox.created inbox.updated inbox.deleted inbox.thread.created inbox.thread.folder.updated "
        "inbox.thread.assigned inbox.thread.unassigned inbox.thread.labels.updated inbox.email.received "
        "inbox.email.sent inbox.draft.created inbox.draft.updated inbox.draft.sent inbox.draft.deleted"
    ),
    # https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html, its like for Firehose
    # (CustomTimeoutExceeded), /sending-email-suppression-list-tenant-level.html, and of SNS itself
    # https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html, all read 2026-11-22. Of
    # UnsubscribedRecipient and EmailValidationSuppressed others speak; the page with them could not be read.
    "ses": frozenset(
        ("Complaint", "Delivery", "DeliveryDelay", "Send", "Reject", "Rendering Failure", "Open", "Click",
         "Subscription", "Received", "SubscriptionConfirmation", "UnsubscribeConfirmation", "Notification")
    )
    | under(
        "Bounce/Permanent",
        "General NoEmail Suppressed OnAccountSuppressionList OnTenantSuppressionList EmailValidationSuppressed "
        "UnsubscribedRecipient",
    )
    | under(
        "Bounce/Transient",
        "General MailboxFull MessageTooLarge CustomTimeoutExceeded ContentRejected AttachmentRejected",
    )
    | under("Bounce/Undetermined", "Undetermined"),
    # The enumeration of statuses in Twilio's own client (github.com/twilio/twilio-node, api/v2010/account/message.ts),
    # read 2026-11-22. Of these /docs/messaging/guides/outbound-message-status-in-status-callbacks says that queued,
    # canceled, sent, failed, delivered, undelivered and read are called back, /docs/messaging/guides/webhook-request
    # that receiving and received are of what comes in. OptOutType: https://www.twilio.com/docs/messaging/twiml.
    "twilio": words(
        "accepted scheduled queued sending sent delivered undelivered failed canceled read partially_delivered "
        "receiving received"
    )
    | under("received", "STOP START HELP"),
    # https://docs.slack.dev/reference/events: those an app of ours can be subscribed to with profit; of messages the
    # subtypes of https://docs.slack.dev/reference/events/message, without those that are no longer served
    # (file_mention, reply_broadcast) or told to RTM alone (group_archive). Read 2026-11-22.
    "api": words("app_uninstalled message_metadata_posted message_metadata_updated message_metadata_deleted")
    | under(
        "message",
        "im channel group mpim assistant_app_thread bot_message channel_archive channel_convert_to_private "
        "channel_convert_to_public channel_join channel_leave channel_name channel_posting_permissions "
        "channel_purpose channel_topic channel_unarchive document_mention ekm_access_denied file_comment file_share "
        "group_join group_leave group_name group_purpose group_topic group_unarchive me_message message_changed "
        "message_deleted message_replied pinned_item reminder_add thread_broadcast unpinned_item",
    ),
    # https://core.telegram.org/bots/api#update, as of Bot API 10.3, read 2026-11-22 in a copy of 2026-09-11
    "bot_api": words(
        "message edited_message channel_post edited_channel_post business_connection business_message "
        "edited_business_message deleted_business_messages message_reaction message_reaction_count inline_query "
        "chosen_inline_result callback_query shipping_query pre_checkout_query purchased_paid_media poll poll_answer "
        "my_chat_member chat_member chat_join_request chat_boost removed_chat_boost guest_message managed_bot "
        "subscription stopped_message_generation"
    ),
    # https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages and the
    # pages below it, read 2026-11-22
    "cloud_api": under("statuses", "sent delivered read played failed")
    | under(
        "messages",
        "text image audio video document sticker location contacts interactive button reaction order system "
        "edit revoke unsupported",
    )
    | under("user_preferences", "stop resume"),
}  # fmt: skip

# How many recordings of a provider are written without their page having been read.
UNREAD: Mapping[str, int] = {
    "mailersend": 3,
    "ses": 2,
}

# What the tables of our own modules speak of.
KNOWN: Mapping[str, frozenset[str]] = {
    "mailgun": frozenset(mailgun._EVENTS),
    "sendgrid": frozenset(sendgrid._EVENTS),
    "postmark": frozenset(postmark._RECORDS)
    | frozenset(f"Bounce/{each}" for each in {*postmark._BOUNCES, *postmark._ANSWERS} - {"ManualSuppression"})
    - {"Bounce/SpamComplaint"},
    "mailersend": frozenset(f"activity.{each}" for each in mailersend._EVENTS),
    "resend": frozenset(resend._EVENTS),
    "ses": frozenset(ses_events._STORIES) - {"Bounce"},
    "twilio": frozenset(twilio._STATUSES),
    "api": frozenset(),
    "bot_api": words("my_chat_member message"),
    "cloud_api": frozenset(f"statuses/{each}" for each in whatsapp._STATUSES)
    - under("statuses", "accepted held_for_quality_assessment")  # what the answer to a message says
    | frozenset(f"user_preferences/{each}" for each in whatsapp._WISHES),
}
assert telegram._MEMBERS


def named(provider: str, payload: Payload) -> Iterator[str]:
    """Which of the provider's events a payload is; of one that has kinds, its kind."""
    return _NAMES.get(provider, lambda one: iter((string(one, "event") or "inbound",)))(payload)


def _mailgun(payload: Payload) -> Iterator[str]:
    event = string(payload, "event") or "inbound"
    yield f"failed/{payload['severity']}" if event == "failed" else event


def _sendgrid(payload: Payload) -> Iterator[str]:
    event = string(payload, "event") or "inbound"
    yield "blocked" if event == "bounce" and payload.get("type") == "blocked" else event


def _postmark(payload: Payload) -> Iterator[str]:
    record, kind = string(payload, "RecordType") or "Inbound", string(payload, "Type")
    if record == "SubscriptionChange":
        kind = string(payload, "SuppressionReason") or "reactivated"
    yield f"{record}/{kind}" if record in ("Bounce", "SubscriptionChange") else record


def _ses(payload: Payload) -> Iterator[str]:
    event = payload["event"]
    kind = string(event, "eventType") or string(event, "notificationType") or string(payload, "kind") or ""
    bounce = child(event, "bounce")
    yield f"Bounce/{bounce['bounceType']}/{bounce['bounceSubType']}" if kind == "Bounce" else kind


def _twilio(payload: Payload) -> Iterator[str]:
    status = (string(payload, "MessageStatus") or string(payload, "SmsStatus") or "").lower()
    yield status
    if payload.get("OptOutType"):
        yield f"{status}/{payload['OptOutType']}"


def _slack(payload: Payload) -> Iterator[str]:
    event = payload["event"]
    kind = string(event, "subtype") or string(event, "channel_type")
    yield f"message/{kind}" if event["type"] == "message" else str(event["type"])


def _whatsapp(payload: Payload) -> Iterator[str]:
    event = payload["event"]
    yield f"{payload['kind']}/{event.get('status') or event.get('type') or event.get('value')}"


_NAMES: Mapping[str, Callable[[Payload], Iterator[str]]] = {
    "mailgun": _mailgun,
    "sendgrid": _sendgrid,
    "postmark": _postmark,
    "mailersend": lambda payload: iter((str(payload["type"]),)),
    "resend": lambda payload: iter((str(payload["type"]),)),
    "ses": _ses,
    "twilio": _twilio,
    "api": _slack,
    "bot_api": lambda payload: (each for each in payload if each != "update_id"),
    "cloud_api": _whatsapp,
}

"""Reads mails as a mail reader and a calendar would, with Python's own parser of mails and the icalendar library: prints what
they found, as JSON. Reads a list of mails in base64; or, with the argument `feeds`, a list of calendars."""
import base64
import email
import email.policy
import json
import sys
from email.header import decode_header, make_header
from email.utils import parseaddr

from icalendar import Calendar


def read(raw):
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    old = email.message_from_bytes(raw)
    defects = [repr(defect) for part in mail.walk() for defect in part.defects]
    defects += [repr(defect) for value in mail.values() for defect in getattr(value, "defects", [])]
    parts = list(mail.iter_parts())
    part = parts[-1]
    calendar = Calendar.from_ical(part.get_content())
    [event] = calendar.walk("VEVENT")
    errors = [error for component in calendar.walk() for error in component.errors]

    def time(name):
        value = event.get(name)
        return value and value.dt.isoformat()

    def text(name):
        value = event.get(name)
        return value and str(value)

    attendees = event["ATTENDEE"]
    return {
        "defects": defects + [str(error) for error in errors],
        "headers": sorted(name for name in mail.keys()),
        "subject": mail["Subject"],
        "from": mail["From"].addresses[0].addr_spec,
        # Its newer parser leaves a space between the encoded words of a name.
        "from_name": str(make_header(decode_header(parseaddr(old["From"].replace("\r\n", ""))[0]))),
        "to": [address.addr_spec for address in mail["To"].addresses],
        "type": mail.get_content_type(),
        "parts": [part.get_content_type() for part in parts],
        "charset": part.get_content_charset(),
        "text": parts[0].get_content().replace("\r\n", "\n"),
        "html": parts[1].get_content().replace("\r\n", "\n"),
        "header_method": part.get_param("method"),
        "method": str(calendar["METHOD"]),
        "properties": sorted(set(event.keys())),
        "uid": text("UID"),
        "sequence": int(event["SEQUENCE"]),
        "stamp": time("DTSTAMP"),
        "start": time("DTSTART"),
        "end": time("DTEND"),
        "status": text("STATUS"),
        "summary": text("SUMMARY"),
        "description": text("DESCRIPTION"),
        "location": text("LOCATION"),
        "url": text("URL"),
        "organizer": str(event["ORGANIZER"]),
        "attendee": str(attendees),
        "answer": [attendees.params.get(name) for name in ("PARTSTAT", "RSVP")],
    }


def read_feed(text):
    calendar = Calendar.from_ical(text)
    events = calendar.walk("VEVENT")
    return {
        "defects": [str(error) for component in calendar.walk() for error in component.errors],
        "method": str(calendar["METHOD"]),
        "name": [str(calendar[name]) for name in ("NAME", "X-WR-CALNAME")],
        "refresh": [calendar["REFRESH-INTERVAL"].params["VALUE"], calendar["REFRESH-INTERVAL"].to_ical().decode()],
        "lives": calendar["X-PUBLISHED-TTL"].to_ical().decode(),
        "properties": sorted({name for event in events for name in event.keys()}),
        "events": [
            {"uid": str(one["UID"]), "status": str(one["STATUS"]), "sequence": int(one["SEQUENCE"])} for one in events
        ],
    }


if sys.argv[1:] == ["feeds"]:
    json.dump([read_feed(text) for text in json.load(sys.stdin)], sys.stdout)
    sys.exit()
json.dump([read(base64.b64decode(mail)) for mail in json.load(sys.stdin)], sys.stdout)

"""Reads phone numbers by Google's library (phonenumbers), which knows the numbering plan of each country.

Reads a list of texts. Writes {"examples": [[text, E.164]], "readings": [[text, E.164 or null, whether it is possible]]}: the
library's own examples of each region in international form, and its readings of the texts and of the examples as people write
them. "fewest": how many digits the shortest possible mobile number has, with its country code.
"""

import json
import sys

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat, PhoneNumberType, format_number


def examples():
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        yield region, phonenumbers.example_number(region)
        mobile = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        if mobile:
            yield region, mobile


def writings(number):
    """A number as people write it, whether or not that has one meaning."""
    international = format_number(number, PhoneNumberFormat.INTERNATIONAL)
    national = format_number(number, PhoneNumberFormat.NATIONAL)
    code, rest = international.split(" ", 1)
    first, _, others = rest.partition(" ")
    yield from (international, national, format_number(number, PhoneNumberFormat.E164))
    yield format_number(number, PhoneNumberFormat.RFC3966)
    yield from (international.replace(" ", space) for space in (".", "-", "\u00a0", "\u2007", "\u202f", "\u2011", "  ", "/"))
    yield f"{code} ({first}) {others}"
    yield f"{code}({first}){others}"
    yield f"{code} (0) {rest}"
    yield f"{code} 0{rest}"
    yield f"{code} (0{first}) {others}"
    yield f"({code}) {rest}"
    yield f"{code[:1]} {code[1:]} {rest}"
    yield f"00{code[1:]} {rest}"
    yield f"{code[1:]} {rest}"
    yield f" \t{international}\n"
    yield f"\u202a{international}\u202c"
    yield f"\u200e{international}"
    yield f"{international} ext. 12"
    yield f"{international};ext=12"
    yield f"{international}, {national}"
    yield f"Tel. {international}"
    yield f"\uff0b{international[1:]}"
    # In Arabic digits.
    yield "".join(chr(0x660 + int(one)) if one.isdigit() else one for one in international)


def reading(text):
    try:
        # These two spaces are no part of a number to the library.
        number = phonenumbers.parse(text.replace("\u2007", " ").replace("\u202f", " "), None)
    except NumberParseException:
        return [text, None, False]
    return [text, format_number(number, PhoneNumberFormat.E164), phonenumbers.is_possible_number(number)]


def fewest_digits():
    """Of the mobile numbers of all regions. -1: there are none."""
    for region in phonenumbers.SUPPORTED_REGIONS:
        metadata = PhoneMetadata.metadata_for_region(region)
        lengths = (metadata.mobile.possible_length or metadata.general_desc.possible_length) if metadata.mobile else ()
        yield from (len(str(metadata.country_code)) + length for length in lengths if length > 0)


known = [number for _, number in examples()]
texts = json.load(sys.stdin) + [text for number in known for text in writings(number)]
answer = {
    "examples": [
        [format_number(number, form), format_number(number, PhoneNumberFormat.E164)]
        for number in known
        for form in (PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.E164)
    ],
    "readings": [reading(text) for text in texts],
    "fewest": min(fewest_digits()),
}
json.dump(answer, sys.stdout)

"""Dates, times, plural forms, and the names that Windows has for time zones, as CLDR has them, by Babel.

Reads {"tags": […], "times": [ISO …]} and writes, for each tag, its direction, its plural categories of the whole numbers
to 2000, and of each time the full date, the short date, the date of an SMS and the time of day; as "zones", the names of
some time zones; amounts of money, a percentage, and the signs of currencies. As "windows", the zone of each name.
"""

import json
import sys
from datetime import datetime
from decimal import Decimal

from babel import Locale, dates, numbers
from babel.core import get_global

# Where the clocks change, and where they do not.
GENERAL = ("Europe/Vienna", "Europe/London", "Europe/Dublin", "Europe/Kyiv", "America/New_York", "Australia/Sydney")
STANDARD = ("Asia/Tokyo", "Asia/Kolkata", "America/Phoenix", "Europe/Istanbul", "America/Sao_Paulo", "Africa/Accra")


# Currencies without digits, with two and with three, and some whose sign is their code.
CURRENCIES = ("AED", "BRL", "CHF", "CNY", "EUR", "GBP", "JPY", "KRW", "KWD", "PLN", "SEK", "USD")
AMOUNTS = ("0.5", "7", "999.99", "12345", "1234567.5")
# Where a name of a day or of a month has a letter that the alphabet of SMS lacks: the short date without these names.
SMS = {"es": "MMMd", "fr": "MEd", "pl": "Md", "pt": "MMMd"}


def money(amount, currency, locale):
    """With a space between letters and digits, as CLDR says and Babel does not do."""
    written = numbers.format_currency(Decimal(amount), currency, locale=locale, currency_digits=True)
    sign = numbers.get_currency_symbol(currency, locale)
    is_apart = not written.startswith(sign) or not sign[-1].isalpha() or written[len(sign)].isspace()
    return written if is_apart else f"{sign} {written[len(sign):]}"


def zone_name(zone, variant, locale):
    return dates.get_timezone_name(zone, "long", locale=locale, zone_variant=variant)


asked = json.load(sys.stdin)
answer = {"windows": dict(get_global("windows_zone_mapping"))}
for tag in asked["tags"]:
    locale = Locale.parse(tag, sep="-")
    written = []
    for time in map(datetime.fromisoformat, asked["times"]):
        written.append(
            {
                "date": dates.format_date(time, "full", locale),
                "short": dates.format_skeleton("MMMEd", time, locale=locale),
                "sms": dates.format_skeleton(SMS.get(tag, "MMMEd"), time, locale=locale),
                "time": dates.format_time(time, "short", locale=locale),
            }
        )
    categories = sorted({locale.plural_form(number) for number in range(2001)})
    zones = {zone: zone_name(zone, "generic", locale) for zone in GENERAL}
    zones |= {zone: zone_name(zone, "standard", locale) for zone in STANDARD}
    answer[tag] = {
        "direction": locale.text_direction,
        "categories": categories,
        "written": written,
        "zones": zones,
        "money": [[amount, code, money(amount, code, locale)] for code in CURRENCIES for amount in AMOUNTS],
        "percent": numbers.format_percent(Decimal("0.125"), "#,##0.0" + locale.percent_formats[None].pattern[5:], locale),
        "signs": {code: numbers.get_currency_symbol(code, locale) for code in numbers.list_currencies()},
    }
json.dump(answer, sys.stdout)

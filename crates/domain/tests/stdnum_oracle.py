"""Answers, for each line `kind number` on stdin, what python-stdnum says of the number, one line each.

`ok`, or the name of the exception. A resident ID whose only fault is a place that stdnum does not know (its table has
counties by year; the hub's has provinces) is told as `place`, so that all else about it can still be compared.
"""

import sys

from stdnum.cn import ric, uscc
from stdnum.exceptions import InvalidComponent, ValidationError


def resident_id(number):
    try:
        ric.validate(number)
    except InvalidComponent:
        # Either the birth date or the place.
        try:
            ric.get_birth_date(number)
        except InvalidComponent:
            return "date"
        return "place"
    except KeyError:
        # stdnum 2.2 knows the province or city but not the county, and says so by accident.
        return "place"
    except ValidationError as error:
        return type(error).__name__
    return "ok"


def credit_code(number):
    try:
        uscc.validate(number)
    except ValidationError as error:
        return type(error).__name__
    return "ok"


VERDICT = {"id": resident_id, "uscc": credit_code}

for line in sys.stdin:
    kind, number = line.rstrip("\n").split(" ", 1)
    print(VERDICT[kind](number))

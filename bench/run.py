"""What the Python programs of bench/ share: rows as a table or as JSON, one object a row."""
import argparse
import json
import sys


def arguments(description, **more):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    for name, options in more.items():
        parser.add_argument("--" + name, **options)
    return parser.parse_args()


class Rows:
    def __init__(self, as_json):
        self.as_json = as_json
        if not as_json:
            print(f"{'figure':<52} {'value':>12} {'unit':<10} {'aim':>10} {'ratio':>7}")

    def add(self, figure, value, unit, aim=None):
        ratio = value / aim if aim else None
        if self.as_json:
            print(json.dumps({"figure": figure, "value": value, "unit": unit, "floor": aim, "ratio": ratio}))
        else:
            print(f"{figure:<52} {value:>12.4g} {unit:<10} {aim if aim is not None else '':>10} "
                  f"{f'{ratio:.2f}' if ratio else '':>7}")
        sys.stdout.flush()


def find_number(text, name):
    """The first number of that name in some JSON."""
    value = json.loads(text)
    while isinstance(value, list):
        value = value[0]
    if name in value:
        return value[name]
    return next(v[name] for v in value.values() if isinstance(v, dict) and name in v)

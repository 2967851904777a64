"Which calendars there are: countries, their parts, the euro's; never another name of the library that knows them."

import pytest

from predelinquency.ground import working_days
from predelinquency.ground.core import ParamsError

pytestmark = pytest.mark.fast
NO = ("country_holidays", "utils", "HolidayBase", "registry", "Atlantis", "DE-XX", "-", "", "__name__", 7, None)


@pytest.mark.parametrize("name", ["GB-ENG", "GBR", "US", "DE-BY", "ECB", "none"])
def test_a_calendar_that_there_is_is_known(name: str):
    assert working_days.is_calendar(name)


@pytest.mark.parametrize("name", NO)
def test_any_other_name_is_none_and_is_refused_with_what_to_write(name: object):
    assert not working_days.is_calendar(name)
    if isinstance(name, str):
        with pytest.raises(ParamsError, match="there is no calendar") as told:
            working_days.holidays_between(name, 2025, 2025)
        assert "GB-ENG" in told.value.remedy

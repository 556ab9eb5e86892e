-- Windows that follow the calendar.
--
-- The sixth argument is their period, and says what `duration` is: 1 a time, 2 the time of whole
-- weeks, 3 a number of calendar months. The seventh is the offset of the calendar's clock from UTC.
--
-- Defines two functions if there is such a period: calendar_window(moment) returns where the window
-- of a moment begins and ends, and calendar_rest(opened, now) how long a window stays open.
--
-- Dates are computed by Howard Hinnant's algorithms `civil_from_days` and `days_from_civil`
-- (https://howardhinnant.github.io/date_algorithms.html), in which years begin in March.

local calendar_window, calendar_rest
if sixth and sixth ~= '0' then
    local period, offset = sixth + 0, (seventh or 0) + 0
    local MINUTE = 60000000
    local DAY = 1440 * MINUTE

    -- A window may have begun by another offset if it began at most this far from where the
    -- calendar begins a window. Offsets differ by quarters of an hour.
    local TOLERANCE, QUARTER = 180 * MINUTE, 15 * MINUTE

    local function div(a, b)
        return (a - a % b) / b
    end

    -- Returns the months from January 1970 to that of a day, which is counted from 1 January 1970.
    local function month_of_day(day)
        day = day + 719468
        local era, day_of_era = div(day, 146097), day % 146097
        local year_of_era =
            div(day_of_era - div(day_of_era, 1460) + div(day_of_era, 36524) - div(day_of_era, 146096), 365)
        local day_of_year = day_of_era - (365 * year_of_era + div(year_of_era, 4) - div(year_of_era, 100))
        return (era * 400 + year_of_era) * 12 + div(5 * day_of_year + 2, 153) - (1969 * 12 + 10)
    end

    -- Returns the days from 1 January 1970 to the first day of such a month.
    local function first_day_of_month(month)
        month = month + 1969 * 12 + 10
        local year, month_of_year = div(month, 12), month % 12
        local era, year_of_era = div(year, 400), year % 400
        local day_of_era = 365 * year_of_era + div(year_of_era, 4) - div(year_of_era, 100)
            + div(153 * month_of_year + 2, 5)
        return era * 146097 + day_of_era - 719468
    end

    function calendar_window(moment)
        moment = moment + offset
        if period == 3 then
            local month = month_of_day(div(moment, DAY))
            local first = month - month % duration
            return first_day_of_month(first) * DAY - offset, first_day_of_month(first + duration) * DAY - offset
        end
        -- Weeks are counted from the first Monday, 5 January 1970.
        local origin = period == 2 and 4 * DAY or 0
        local start = moment - (moment - origin) % duration - offset
        return start, start + duration
    end

    function calendar_rest(opened, now)
        if period == 3 then
            local _, finish = calendar_window(opened + TOLERANCE)
            return finish - now
        end
        local finish = opened + duration
        if duration % DAY == 0 then
            local start, next_start = calendar_window(opened)
            local early, late = opened - start, next_start - opened
            if early <= TOLERANCE and early % QUARTER == 0 then
                finish = finish - early
            elseif late <= TOLERANCE and late % QUARTER == 0 then
                finish = finish + late
            end
        end
        return finish - now
    end
end


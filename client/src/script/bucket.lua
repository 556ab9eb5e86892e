-- What TOKEN and LEAKY share: a level that falls by `quota` units per `duration`.
--
-- It is counted in ticks: a microsecond has `quota` of them, and a unit takes `duration` of them.
-- The level is `used` units, a partly drained one included, less the ticks for which the first of
-- them has `drained`, fewer than a unit takes. So it is exact whatever the limit is.
--
-- A key is a string of 35 bytes: the tag of the algorithm (3 bytes), the moment of the last
-- admitted call (7), `used` (6) and `drained` (7) then, and the `duration` (7) and the `quota` (5)
-- of that call.

-- Returns the quotient and the remainder of (a * b + c) / d, rounded down: the units that drain in
-- a time, or the time in which units drain. A quotient of 2^52 or more is cut to that: 142 years.
--
-- `a` is less than 2^52, all others are less than 2^49, and a * b + c is not negative.
local function divide(a, b, c, d)
    local dividend = a * b + c
    if dividend < 4503599627370496 then
        local rest = dividend % d
        return (dividend - rest) / d, rest
    end
    -- Divides a by d first. If this product is rounded, it is cut.
    local rest = a % d
    local quotient = (a - rest) / d * b
    if quotient >= 4503599627370496 then
        return 4503599627370496, 0
    end
    -- Then adds rest * b / d digit by digit of b, the highest first. The base is so small that no
    -- step reaches 2^53: `carried * base` and `rest * digit` are less than d * base <= 2^51 each.
    local base = (2251799813685248 - 2251799813685248 % d) / d
    local place = 1
    while place * base <= b do
        place = place * base
    end
    local part, carried = 0, 0
    repeat
        local lower = b % place
        local product = carried * base + rest * ((b - lower) / place)
        carried = product % d
        part = part * base + (product - carried) / d
        b, place = lower, place / base
    until place < 1
    carried = carried + c
    rest = carried % d
    quotient = quotient + part + (carried - rest) / d
    if quotient >= 4503599627370496 then
        return 4503599627370496, 0
    end
    return quotient, rest
end


-- FIXED: the first admitted call opens a window, in which at most `quota` units are admitted.
--
-- The sixth argument is the period of windows that follow the calendar, the seventh the offset of
-- its clock: see calendar.lua.
--
-- A key is a string of 16 bytes: "\255F0", when the window opened (7 bytes), the units used (6).

local now = now
local opened, used, rest, is_dated = now, 0, 0, false
state = call('GET', key)
if state then
    local tag
    if #state == 16 then
        tag, opened, used = struct.unpack('<c3I7I6', state)
    end
    if tag ~= '\255F0' then
        return { err = 'WRONGTYPE the key holds a value that is not a fixed window' }
    end
    if opened > now then
        if continues then
            now = opened
        else
            opened, is_dated = now, true
        end
    end
    rest = calendar_rest and calendar_rest(opened, now) or opened + duration - now
end
if rest <= 0 then
    used, is_dated = 0, false
    if calendar_window then
        opened, rest = calendar_window(now)
        rest = rest - now
    else
        opened, rest = now, duration
    end
end

remaining = quota > used and quota - used or 0

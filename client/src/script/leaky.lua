-- Decides LEAKY: see leaky_room.lua.
local room = capacity - cost - keep
limit, wait, granted = capacity, turn, cost
if (used > room or turn > patience) and (mode ~= 'FORCE' or quota == 0) then
    limited, reset, granted = 1, turn, 0
    if room < 0 then
        wait = -1
    else
        wait = turn > patience and turn - patience or 0
        if used > room then
            local until_it_fits = divide(used - room, duration, quota - 1 - drained, quota)
            wait = wait > until_it_fits and wait or until_it_fits
        end
    end
else
    limited = 0
    used = used + cost
    if used > 2000000000000 then
        used = 2000000000000
    end
    reset = divide(used, duration, quota - 1 - drained, quota)
    remaining = reset <= patience and capacity > used and capacity - used or 0
end
if limited == 0 or is_dated and reset > 0 then
    state = struct.pack('<c3I7I6I7I7I5', tag, now, used, drained, duration, quota)
else
    state = nil
end

-- Decides TOKEN: see token_room.lua.
local room = capacity - cost - keep
limit, wait, granted, limited = capacity, 0, cost, 0
if used > room and (mode ~= 'FORCE' or quota == 0) then
    if room < 0 then
        limited, wait = 1, -1
    else
        wait = divide(used - room, duration, quota - 1 - drained, quota)
        local owed = used - room
        if owed > 1000000000000 then
            limited, wait = 1, wait - patience
            local until_owing_less = divide(owed - 1000000000000, duration, quota - 1 - drained, quota)
            wait = wait > until_owing_less and wait or until_owing_less
        elseif wait > patience then
            limited, wait = 1, wait - patience
        elseif keep > 0 then
            local missing = used - room - keep
            wait = missing > 0 and divide(missing, duration, quota - 1 - drained, quota) or 0
        end
    end
end
if limited == 0 then
    used = used + cost
    if used > 2000000000000 then
        used = 2000000000000
    end
    if mode == 'FORCE' and is_patient and used > capacity then
        wait = divide(used - capacity, duration, quota - 1 - drained, quota)
    end
else
    granted = 0
end
remaining = capacity > used and capacity - used or 0
reset = used > 0 and quota > 0 and divide(used, duration, quota - 1 - drained, quota) or 0
if limited == 0 or is_dated and reset > 0 then
    state = struct.pack('<c3I7I6I7I7I5', tag, now, used, drained, duration, quota)
else
    state = nil
end

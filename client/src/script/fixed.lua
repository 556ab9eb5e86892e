-- Decides FIXED: see fixed_room.lua.
limit, wait, granted = quota, 0, cost
if used + cost + keep > quota and (mode ~= 'FORCE' or quota == 0) then
    limited, granted = 1, 0
    wait = cost + keep > quota and -1 or rest
    reset = used > 0 and rest or 0
    state = is_dated and struct.pack('<c3I7I6', '\255F0', opened, used) or nil
else
    limited, reset = 0, rest
    used = used + cost
    if used > 2000000000000 then
        used = 2000000000000
    end
    remaining = quota > used and quota - used or 0
    state = struct.pack('<c3I7I6', '\255F0', opened, used)
end

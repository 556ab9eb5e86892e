-- Decides SLIDING: see sliding_room.lua.
limit, wait, granted = quota, 0, cost
if used + cost + keep > quota and (mode ~= 'FORCE' or quota == 0) then
    limited, granted = 1, 0
    if cost + keep > quota then
        wait = -1
    else
        -- The call fits when the oldest entries that together hold the excess have expired.
        local excess = used + cost + keep - quota
        local last_blocking, _, held
        repeat
            last_blocking, _, held = struct.unpack('<I7I6I6', log, live)
            excess = excess - held
            live = live + 19
        until excess <= 0
        wait = last_blocking + duration - now
    end
    reset = latest and latest + duration - now or 0
    state = is_dated and latest and log or nil
elseif used == 2000000000000 then
    -- There is no room for a unit. As no key has more, nothing has expired.
    limited, reset = 0, latest + duration - now
    state = struct.pack('<c3I6I7', '\255S0', used, duration) .. string.sub(log, 17)
else
    limited, reset = 0, duration
    if used + cost > 2000000000000 then
        cost = 2000000000000 - used
    end
    used = used + cost
    remaining = quota > used and quota - used or 0
    -- The moments of a part are less than this apart.
    local part = quota > 64 and (duration - duration % 64) / 64 + 1 or 1
    local kept_end = #log
    local is_full = kept_end - live >= 1253
    local width, units = 0, cost
    if latest == now or is_full and now - now % part == latest - latest % part then
        local before, held = struct.unpack('<I6I6', log, kept_end - 11)
        if latest == now or now - latest + before < part then
            width, units, kept_end, is_full = now - latest + before, cost + held, kept_end - 19, false
        end
    end
    log = struct.pack('<c3I6I7', '\255S0', used, duration) .. string.sub(log, live, kept_end)
        .. struct.pack('<I7I6I6', now, width, units)
    if is_full then
        -- Merges the two neighbours in the same part that together are the narrowest. If no two
        -- are, as some were made under another limit, it merges the narrowest of all.
        local best, best_width, best_shares
        local moment, before = struct.unpack('<I7I6', log, 17)
        for place = 36, #log, 19 do
            local next_moment, next_before = struct.unpack('<I7I6', log, place)
            local merged = next_moment - moment + before
            local shares = merged < part and next_moment - next_moment % part == moment - moment % part
            if not best or shares and not best_shares or shares == best_shares and merged < best_width then
                best, best_width, best_shares = place, merged, shares
            end
            moment, before = next_moment, next_before
        end
        local _, _, earlier = struct.unpack('<I7I6I6', log, best - 19)
        local merged_moment, _, later = struct.unpack('<I7I6I6', log, best)
        log = string.sub(log, 1, best - 20) .. struct.pack('<I7I6I6', merged_moment, best_width, earlier + later)
            .. string.sub(log, best + 19)
    end
    state = log
end

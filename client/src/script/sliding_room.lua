-- SLIDING: at most `quota` units in any span of `duration`.
--
-- A key is a string, the log of what was admitted when: "\255S0", the units of all entries (6
-- bytes), the duration of the last admitted call (7), and up to 66 entries of 19 bytes, the oldest
-- first: when its latest unit was admitted (7), how long before that its first (6), its units (6).
-- Up to a quota of 64 the log is exact. Above, when it is full, units of the same 64th of the
-- duration share an entry, which counts from the latest of them.

local now = now
local is_dated = false
local used, live = 0, 17
local log = call('GET', key)
local latest
if log then
    local tag, oldest
    if #log > 34 then
        tag, used, oldest = struct.unpack('<c3I6xxxxxxxI7', log)
    end
    if tag ~= '\255S0' then
        return { err = 'WRONGTYPE the key holds a value that is not a sliding window' }
    end
    latest = struct.unpack('<I7', log, #log - 18)
    if latest > now then
        if continues then
            now = latest
        else
            -- Dates the entries from the future to now.
            local dated = { string.sub(log, 1, 16) }
            for place = 17, #log, 19 do
                local moment, before, held = struct.unpack('<I7I6I6', log, place)
                dated[#dated + 1] = struct.pack('<I7I6I6', moment < now and moment or now, before, held)
            end
            log, latest, is_dated = table.concat(dated), now, true
            oldest = oldest < now and oldest or now
        end
    end
    while oldest + duration <= now do
        used = used - struct.unpack('<I6', log, live + 13)
        live = live + 19
        if live > #log then
            latest = nil
            break
        end
        oldest = struct.unpack('<I7', log, live)
    end
else
    log = ''
end

remaining = quota > used and quota - used or 0

-- A sliding window: at most `quota` calls in any span of the duration.
--
-- KEYS[1]: the key. ARGV: quota, duration in seconds. Answers what PREMIER.SLIDING does: limited,
-- limit, remaining, milliseconds to wait, milliseconds until the key is as good as new.
--
-- The key is one string, a log: how many calls are in it, and then the entries, the oldest first:
-- the latest moment in microseconds, and how many calls were admitted then. All are doubles. Up to
-- a quota of 64 it is exact. Above, calls of the same 64th of the duration are one entry that
-- counts from the latest of them, so that it takes 1 KiB however large the quota. Reading and
-- writing the string whole takes three commands; a sorted set takes five, and many times the
-- memory.

local quota, duration = tonumber(ARGV[1]), ARGV[2] * 1000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local HEADER, ENTRY = 8, 16
local log = redis.call('GET', KEYS[1])
local used, live, latest, latest_calls = 0, HEADER + 1, nil, 0
if log then
    used = struct.unpack('d', log)
    local oldest, calls = struct.unpack('dd', log, live)
    while oldest + duration <= now do
        used = used - calls
        live = live + ENTRY
        if live > #log then
            break
        end
        oldest, calls = struct.unpack('dd', log, live)
    end
    if live <= #log then
        latest, latest_calls = struct.unpack('dd', log, #log - ENTRY + 1)
    end
end

if used >= quota then
    local reset = latest and math.ceil((latest + duration - now) / 1000) or 0
    if quota == 0 then
        return { 1, 0, 0, -1, reset }
    end
    -- The call fits once the oldest entries that hold as much as is too much have gone.
    local excess = used + 1 - quota
    local last_in_the_way, calls
    repeat
        last_in_the_way, calls = struct.unpack('dd', log, live)
        excess = excess - calls
        live = live + ENTRY
    until excess <= 0
    return { 1, quota, 0, math.ceil((last_in_the_way + duration - now) / 1000), reset }
end

local end_of_kept = log and #log or 0
local calls = 1
if latest then
    -- The clock may have stepped back.
    now = math.max(now, latest)
    local part = quota > 64 and duration / 64 or 1
    if math.floor(now / part) == math.floor(latest / part) then
        calls = latest_calls + 1
        end_of_kept = end_of_kept - ENTRY
    end
end
local kept = log and string.sub(log, live, end_of_kept) or ''
used = used + 1
local millis = duration / 1000
redis.call('SET', KEYS[1], struct.pack('d', used) .. kept .. struct.pack('dd', now, calls), 'PX', millis)
return { 0, quota, quota - used, 0, millis }

-- A leaky bucket: a queue that holds `quota` calls, the one being served included, and drains
-- continuously at `quota` per duration. An admitted call is told how long to wait for its turn.
--
-- KEYS[1]: the key. ARGV: quota, duration in seconds. Answers what PREMIER.LEAKY does: limited,
-- limit, remaining, milliseconds to wait, milliseconds until the key is as good as new.
--
-- The key is one string of three doubles: when the last call was admitted, the level of the queue
-- then, and the duration by which that level is to be read. A call is as high as the duration is
-- long in microseconds, so the level falls by `quota` a microsecond and is a whole number always:
-- exact as long as quota * duration is below 2^53. As it says what is in the queue and not when
-- that will be empty, a new limit counts from the next call on.

local quota, duration = tonumber(ARGV[1]), ARGV[2] * 1000000
if quota == 0 then
    return { 1, 0, 0, -1, 0 }
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local ceil = math.ceil

local level = 0
local state = redis.call('GET', KEYS[1])
if state then
    local at, level_then, duration_then = struct.unpack('ddd', state)
    if duration_then ~= duration then
        level_then = ceil(level_then * duration / duration_then)
    end
    -- The clock may have stepped back.
    local elapsed = now > at and now - at or 0
    level = level_then - elapsed * quota
    if level < 0 then
        level = 0
    end
end

local quota_a_milli = quota * 1000
local turn = ceil(level / quota_a_milli)
local room = quota * duration - level - duration
if room < 0 then
    return { 1, quota, 0, ceil(-room / quota_a_milli), turn }
end
level = level + duration
local reset = ceil(level / quota_a_milli)
redis.call('SET', KEYS[1], struct.pack('ddd', now, level, duration), 'PX', reset)
return { 0, quota, math.floor(room / duration), turn, reset }

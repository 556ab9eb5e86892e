-- A fixed window: the first admitted call opens it, and at most `quota` calls are admitted in it.
--
-- KEYS[1]: the key. ARGV: quota, duration in seconds. Answers what PREMIER.FIXED does: limited,
-- limit, remaining, milliseconds to wait, milliseconds until the key is as good as new.
--
-- The key is one string of two doubles: when the window opened, in microseconds, and the calls in
-- it. As it does not say when the window will end, a new limit counts from the next call on.

local quota, duration = tonumber(ARGV[1]), ARGV[2] * 1000000
if quota == 0 then
    return { 1, 0, 0, -1, 0 }
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local opened, used = now, 0
local state = redis.call('GET', KEYS[1])
if state then
    opened, used = struct.unpack('dd', state)
    -- The clock may have stepped back.
    if opened > now then
        opened = now
    end
    if now - opened >= duration then
        opened, used = now, 0
    end
end

local reset = math.ceil((opened + duration - now) / 1000)
if used >= quota then
    return { 1, quota, 0, reset, reset }
end
used = used + 1
redis.call('SET', KEYS[1], struct.pack('dd', opened, used), 'PX', reset)
return { 0, quota, quota - used, 0, reset }

-- The time of a call on the server's clock, in microseconds since the Unix epoch.
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

-- A stamp in the future shows that the clock has stepped back, or that another server made the
-- stamp. It is then read as made now.
local continues = false


-- The time of a call on the caller's clock, in microseconds since the Unix epoch: the first
-- argument.
local call = redis.call
local now = table.remove(ARGV, 1) + 0

-- A stamp in the future was made by a caller whose clock is ahead. Time continues from the stamp.
-- If it were read as made now, callers with different clocks would make the same time pass several
-- times.
local continues = true


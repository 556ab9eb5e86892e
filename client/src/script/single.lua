-- One key and one limit.
--
-- KEYS[1]: the key. ARGV: quota, duration, cost, keep, mode, the sixth and the seventh, and any
-- eighth word if the call is only previewed. Words at the end may be left out.
local key, words = KEYS[1], ARGV
local quota, duration = words[1] + 0, words[2] + 0
local cost, keep, mode, sixth, seventh = 1, 0
if words[3] then
    cost, keep, mode, sixth, seventh = words[3] + 0, (words[4] or 0) + 0, words[5], words[6], words[7]
end
local limited, limit, remaining, wait, reset, granted, state


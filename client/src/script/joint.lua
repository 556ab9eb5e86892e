-- Several keys, each with a limit: a call is charged to all of them or to none.
--
-- KEYS: the keys. ARGV: for each key eight words: the first letter of its algorithm, quota,
-- duration, cost, keep, mode, and two more that the algorithm takes: the id of the holder for HOLD.
-- Returns what PREMIER.ALL does: the five integers of the binding limit, its index, and the five
-- integers of each limit.

local WORDS = 8
local deciders = { F = fixed, S = sliding, T = token, L = leaky }

local function millis(time)
    return time > 0 and math.ceil(time / 1000) or time
end

-- What each limit returns alone.
local alone = {}
local is_limited = false
for index, key in ipairs(KEYS) do
    local letter, quota, duration, cost, keep, mode, sixth, seventh = unpack(ARGV, WORDS * index - 7, WORDS * index)
    quota, duration, cost, keep = quota + 0, duration + 0, cost + 0, keep + 0
    local decided
    if letter == 'H' then
        decided = { hold(key, quota, duration, cost, keep, sixth) }
    else
        decided = { deciders[letter](key, quota, duration, cost, keep, mode, sixth, seventh) }
    end
    if type(decided[1]) == 'table' then
        return decided[1]
    end
    alone[index] = decided
    is_limited = is_limited or decided[1] == 1
end

-- If the call is limited, the binding limit is the one with the longest wait, and -1 is longer than
-- any other. Otherwise it is the one that leaves the least. Ties go to the first.
local binding, longest_wait = 1, 0
for index, decided in ipairs(alone) do
    local bound = alone[binding]
    local wait = decided[4]
    if is_limited then
        local is_longer = wait == -1 and bound[4] ~= -1 or bound[4] ~= -1 and wait > bound[4]
        if decided[1] == 1 and (bound[1] == 0 or is_longer) then
            binding = index
        end
    else
        if decided[3] < bound[3] then
            binding = index
        end
        longest_wait = wait > longest_wait and wait or longest_wait
    end
end

local replies = {}
for index, decided in ipairs(alone) do
    local limited, limit, remaining, wait, reset, granted, state = unpack(decided, 1, 7)
    reset = millis(reset)
    replies[index] = { limited, limit, remaining, millis(wait), reset }
    -- A limited call stores a state only if the clock has stepped back.
    if state and limited == (is_limited and 1 or 0) then
        local words = WORDS * (index - 1)
        if ARGV[words + 1] == 'H' then
            put_hold(KEYS[index], ARGV[words + 7], ARGV[words + 3] + 0, granted, state, reset)
        else
            call('SET', KEYS[index], state, 'PX', reset + 1)
        end
    end
end
local limited, limit, remaining, wait, reset = unpack(replies[binding])
if not is_limited then
    wait = millis(longest_wait)
end
return { limited, limit, remaining, wait, reset, binding - 1, replies }

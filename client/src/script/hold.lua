-- HOLD: at most `quota` units are held at the same time. A hold ends when its holder releases it,
-- or when its lease has passed. The same id is the same holder.
--
-- A key is a sorted set. Each holder has three members: "e" and its id, whose score is when its
-- lease ends; "l" and its id, with the lease; "u" and its id, with its units. Two members are of
-- the key: "s" has the units of all holders, and "t" when the latest lease began. All scores except
-- those of "e" are negative, so that the ends of leases are a range of scores.
--
-- An admitted call and a release read the holder and the last two ends, and drop the leases that
-- have ended: O(log n) for n holders. A limited call also reads the leases whose end it would have
-- to wait for.

local MAX_HOLDERS = 65536

-- How many holders a step reads or drops: a command can't have any number of arguments.
local STEP = 1000

-- Returns the scores of members with this letter for those "e" members, from one index to another.
local function scores_of(key, letter, ends, from, to)
    local members = {}
    for index = from, to do
        members[#members + 1] = letter .. string.sub(ends[index], 2)
    end
    return call('ZMSCORE', key, unpack(members))
end

-- Dates leases that began in the future to now. The key expires when the longest would end.
local function date_leases(key)
    local ends = call('ZRANGEBYSCORE', key, 0, '+inf')
    local rest = 1
    for from = 1, #ends, STEP do
        local to = from + STEP - 1 < #ends and from + STEP - 1 or #ends
        local leases = scores_of(key, 'l', ends, from, to)
        local dated = {}
        for index = from, to do
            local lease = -leases[index - from + 1]
            rest = lease > rest and lease or rest
            dated[#dated + 1] = now + lease
            dated[#dated + 1] = ends[index]
        end
        call('ZADD', key, 'LT', unpack(dated))
    end
    call('ZADD', key, -now, 't')
    call('PEXPIRE', key, math.ceil(rest / 1000) + 1)
end

-- Returns what is held: a table with
--
--     exists  whether the key exists
--     now     the time
--     own     the units of the holder with this id, 0 if it holds nothing
--     held    the units of all holders
--     ended   the "e" members of the leases that have ended
--
-- or nil and an error reply.
local function open_holds(key, id)
    local now = now
    local scores = call('ZMSCORE', key, 's', 't', 'e' .. id, 'u' .. id)
    if not (scores[1] and scores[2]) then
        if call('EXISTS', key) == 1 then
            return nil, { err = 'WRONGTYPE the key holds a value that is not a concurrency limit' }
        end
        return { exists = false, now = now, own = 0, held = 0, ended = {} }
    end
    local latest = -scores[2]
    if latest > now then
        if continues then
            now = latest
        else
            date_leases(key)
            scores = call('ZMSCORE', key, 's', 't', 'e' .. id, 'u' .. id)
        end
    end
    local held = -scores[1]
    local ended = call('ZRANGEBYSCORE', key, 0, now)
    for from = 1, #ended, STEP do
        local to = from + STEP - 1 < #ended and from + STEP - 1 or #ended
        for _, units in ipairs(scores_of(key, 'u', ended, from, to)) do
            held = held + units
        end
    end
    local own = scores[3] and scores[3] + 0 > now and -scores[4] or 0
    return { exists = true, now = now, own = own, held = held, ended = ended }
end

-- Returns when the last lease ends, apart from that of this id; `now` if there is none.
local function last_end_beside(key, id, now)
    local last = call('ZREVRANGE', key, 0, 1, 'WITHSCORES')
    local index = last[1] == 'e' .. id and 3 or 1
    local moment = last[index + 1] and last[index + 1] + 0 or now
    return moment > now and moment or now
end

-- Returns the time until leases of others with this many units have ended.
local function time_until_free(key, id, holds, units)
    local own, offset = 'e' .. id, 0
    while true do
        local found = call('ZRANGEBYSCORE', key, '(' .. string.format('%.0f', holds.now), '+inf',
            'WITHSCORES', 'LIMIT', offset, STEP)
        local ends = {}
        for index = 1, #found, 2 do
            ends[#ends + 1] = found[index]
        end
        if #ends == 0 then
            return 0
        end
        local held = scores_of(key, 'u', ends, 1, #ends)
        for index = 1, #ends do
            if ends[index] ~= own then
                units = units + held[index]
                if units <= 0 then
                    return found[2 * index] - holds.now
                end
            end
        end
        offset = offset + STEP
    end
end

-- Decides a call. The last value is what is held, and nil for a limited call.
local function hold(key, quota, lease, cost, keep, id)
    local holds, foreign = open_holds(key, id)
    if not holds then
        return foreign
    end
    if quota == 0 then
        return 1, 0, 0, -1, 0, 0, nil
    end
    local others = holds.held - holds.own
    if others + cost + keep > quota then
        local wait = -1
        if cost + keep <= quota then
            wait = time_until_free(key, id, holds, others + cost + keep - quota)
        end
        local reset = holds.held > 0 and last_end_beside(key, '', holds.now) - holds.now or 0
        return 1, quota, quota > holds.held and quota - holds.held or 0, wait, reset, 0, nil
    end
    local reset = lease
    if others > 0 then
        local rest = last_end_beside(key, id, holds.now) - holds.now
        reset = rest > lease and rest or lease
    end
    if holds.own == 0 and #holds.ended == 0 and holds.exists
        and call('ZCARD', key) >= 3 * MAX_HOLDERS + 2 then
        return { err = 'ERR the key has 65536 holders, the most that a key can have' }
    end
    return 0, quota, quota - others - cost, 0, reset, cost, holds
end

local function drop_ended(key, ended)
    for from = 1, #ended, STEP do
        local members = {}
        for index = from, from + STEP - 1 < #ended and from + STEP - 1 or #ended do
            local id = string.sub(ended[index], 2)
            members[#members + 1] = 'e' .. id
            members[#members + 1] = 'l' .. id
            members[#members + 1] = 'u' .. id
        end
        call('ZREM', key, unpack(members))
    end
end

-- Stores the units of the holder whose call is admitted. The key is fully reset after `reset` ms.
local function put_hold(key, id, lease, units, holds, reset)
    drop_ended(key, holds.ended)
    call('ZADD', key, -(holds.held - holds.own + units), 's', -holds.now, 't',
        holds.now + lease, 'e' .. id, -lease, 'l' .. id, -units, 'u' .. id)
    call('PEXPIRE', key, reset + 1)
end


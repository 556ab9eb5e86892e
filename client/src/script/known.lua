-- What is known of a key of a rate limit without its limit.
--
-- Returns a table with
--
--     name    the algorithm
--     used    the units that are used
--     reset   the time until the key is fully reset
--     refund  a function of a number of units, at most those used, that gives them back: it returns
--             the state and the time until the key is then fully reset, if that changes
--
-- or nil and an error reply. Buckets drain at the rate of the last admitted call.

local FOREIGN = { err = 'WRONGTYPE the key holds a value that is not the state of a rate limit' }

local function known_bucket(state, tag, name)
    if #state ~= 35 then
        return nil, FOREIGN
    end
    local at, used, drained, duration, quota = struct.unpack('<I7I6I7I7I5', state, 4)
    if drained >= duration or duration > 315360000000000 or quota == 0 then
        return nil, FOREIGN
    end
    -- What is left of the level, and how much of its first unit has drained.
    local left, drained_now = used, drained
    if at <= now then
        local units, rest = divide(now - at, quota, drained, duration)
        if units < used then
            left, drained_now = used - units, rest
        else
            left, drained_now = 0, 0
        end
    end
    return {
        name = name,
        used = left,
        reset = left > 0 and divide(left, duration, quota - 1 - drained_now, quota) or 0,
        -- The moment stays, as the next call settles the time since then at its own rate.
        refund = function(units)
            return struct.pack('<c3I7I6I7I7I5', tag, at, used - units, drained, duration, quota),
                (divide(left - units, duration, quota - 1 - drained_now, quota))
        end,
    }
end

local function known_fixed(state, key)
    if #state ~= 16 then
        return nil, FOREIGN
    end
    local opened, used = struct.unpack('<I7I6', state, 4)
    local expires_in = call('PTTL', key)
    -- It expires a millisecond after it is fully reset.
    local reset = (expires_in - 1) * 1000
    if expires_in == 0 or expires_in == 1 then
        used = 0
    end
    return {
        name = 'FIXED',
        used = used,
        reset = reset,
        refund = function(units)
            return struct.pack('<c3I7I6', '\255F0', opened, used - units)
        end,
    }
end

local function known_sliding(log)
    if #log <= 16 or (#log - 16) % 19 > 0 then
        return nil, FOREIGN
    end
    local used, duration = struct.unpack('<I6I7', log, 4)
    local newest = struct.unpack('<I7', log, #log - 18)
    -- Entries from the future stay as they are: the next call dates them.
    local now = newest > now and newest or now
    local live = 17
    for place = 17, #log, 19 do
        local moment, _, units = struct.unpack('<I7I6I6', log, place)
        if moment + duration <= now then
            used, live = used - units, place + 19
        end
    end
    return {
        name = 'SLIDING',
        used = used,
        reset = used > 0 and newest + duration - now or 0,
        -- The newest units first.
        refund = function(units)
            local left = used - units
            local place = #log - 18
            local moment, width, held = struct.unpack('<I7I6I6', log, place)
            while held <= units do
                units, place = units - held, place - 19
                moment, width, held = struct.unpack('<I7I6I6', log, place)
            end
            return struct.pack('<c3I6I7', '\255S0', left, duration) .. string.sub(log, live, place - 1)
                .. struct.pack('<I7I6I6', moment, width, held - units), moment + duration - now
        end,
    }
end

local function known(key)
    local state = call('GET', key)
    if not state then
        return nil
    end
    local tag = string.sub(state, 1, 3)
    if tag == '\255F0' then
        return known_fixed(state, key)
    elseif tag == '\255S0' then
        return known_sliding(state)
    elseif tag == '\255T0' then
        return known_bucket(state, tag, 'TOKEN')
    elseif tag == '\255L0' then
        return known_bucket(state, tag, 'LEAKY')
    end
    return nil, FOREIGN
end


-- LEAKY: a queue of `capacity` units, the one being served included, which leave it at `quota` per
-- `duration`. An admitted call waits for its turn: until all units before it have left. With a
-- `max_wait`, which is -1 without, a call whose turn would come later is limited.

local capacity, patience = quota, 4503599627370496
if sixth then
    capacity = quota > 0 and sixth + 0 or 0
    patience = seventh and seventh + 0 >= 0 and seventh + 0 or patience
end
local turn = used > 0 and quota > 0 and divide(used, duration, quota - 1 - drained, quota) or 0
remaining = turn <= patience and capacity > used and capacity - used or 0

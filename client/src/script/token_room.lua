-- TOKEN: a bucket of `capacity` tokens, which is full at first and refilled at `quota` per
-- `duration`. The units used are the tokens that are missing. With a `max_wait`, which is -1
-- without, a call may also borrow tokens that will be refilled within it.

local capacity, patience, is_patient = quota, 0, false
if sixth then
    capacity = quota > 0 and sixth + 0 or 0
    is_patient = seventh and seventh + 0 >= 0
    patience = is_patient and seventh + 0 or 0
end
if mode == 'ATMOST' then
    local missing = used - divide(patience, quota, drained, duration)
    if missing < used - 1000000000000 then
        missing = used - 1000000000000
    end
    remaining = capacity - (missing > 0 and missing or 0)
end

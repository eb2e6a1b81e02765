-- Shared by the scripts that look for losses before a group reads: where the group stands on a stream, and what it lost.
-- They have `call`, which is redis.call, and `group`.

local function fields_of(list)
  local fields = {}
  for i = 1, #list, 2 do fields[list[i]] = list[i + 1] end
  return fields
end

-- What XINFO GROUPS says of the group. Nothing for a key that is missing or of another type, or without the group: the
-- read that follows reports that.
local function state_of(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return nil end
  for _, list in ipairs(groups) do
    local fields = fields_of(list)
    if fields['name'] == group then return fields end
  end
end

-- tostring() would round above 14 digits.
local function count_as_read(stream, delivered, entries)
  call('XGROUP', 'SETID', stream, group, delivered, 'ENTRIESREAD', string.format('%.0f', entries))
end

-- A loss as {count, id before the gap, id after it, whether it is older than the group}, or nothing. `state` is what
-- `state_of` returned.
local function check(stream, state, read_lately)
  -- The field does not exist before Redis 7.0; it is false where the server has lost count.
  if not state or state['entries-read'] == nil then return nil end
  local delivered, read, lag = state['last-delivered-id'], state['entries-read'], state['lag']
  -- Redis 7.0 tells its replicas and its append-only file what XGROUP SETID says, but not what a read adds.
  if read and read_lately then count_as_read(stream, delivered, read) end
  if read and lag == 0 then return nil end

  -- Trims take the oldest first: while something read is left, nothing unread is gone.
  local something_read = #call('XRANGE', stream, '-', delivered, 'COUNT', 1) > 0
  local something_unread = #call('XRANGE', stream, '(' .. delivered, '+', 'COUNT', 1) > 0
  if something_read and something_unread then return nil end

  local whole = fields_of(call('XINFO', 'STREAM', stream))
  local added, gone = whole['entries-added'], whole['entries-added'] - whole['length']
  -- The group has read to the end: whatever the counter says, this is where it stands.
  if something_read or whole['last-generated-id'] == delivered then
    return count_as_read(stream, delivered, added)
  end
  local first_left = whole['first-entry'] and whole['first-entry'][1] or ''
  if not read then
    count_as_read(stream, delivered, gone)
    -- A new group, which begins at the stream's beginning; any other has lost count, and so have we.
    return delivered == '0-0' and gone > 0 and {gone, delivered, first_left, 1} or nil
  end
  if gone <= read then return nil end
  count_as_read(stream, delivered, gone)
  return {gone - read, delivered, first_left, 0}
end

-- Shared by the scripts that read: what the group has lost. They include group_state.lua. `state` is what `state_of`
-- returns, from before the read. Its entries-read and lag do not exist before Redis 7.0; they are false where the server
-- has lost count.

-- tostring() would round above 14 digits.
local function set_entries_read(delivered, entries)
  call('XGROUP', 'SETID', stream, group, delivered, 'ENTRIESREAD', string.format('%.0f', entries))
end

-- Redis 7.0 tells its replicas and its append-only file what XGROUP SETID says, but not what a read adds.
local function pass_on_entries_read(state)
  if state['entries-read'] then set_entries_read(state['last-delivered-id'], state['entries-read']) end
end

-- Whether it takes a closer look to know. Trims take the oldest first: if there are as many entries as the group has to
-- read, all that are gone were read.
local function may_have_lost(state)
  if state['entries-read'] == nil then return false end
  return not (state['entries-read'] and state['lag'] and call('XLEN', stream) >= state['lag'])
end

-- The loss as {count, id before the gap, id after it, whether it is older than the group}, or an empty table. A count that
-- is wrong is set right.
local function find_loss(state)
  local delivered, read = state['last-delivered-id'], state['entries-read']
  if read == nil or (read and state['lag'] == 0) then return {} end

  -- While something read is left, nothing unread is gone.
  local something_read = #call('XRANGE', stream, '-', delivered, 'COUNT', 1) > 0
  local something_unread = #call('XRANGE', stream, '(' .. delivered, '+', 'COUNT', 1) > 0
  if something_read and something_unread then return {} end

  local whole = fields_of(call('XINFO', 'STREAM', stream))
  local added, gone = whole['entries-added'], whole['entries-added'] - whole['length']
  -- The group has read to the end: whatever the counter says, this is where it stands.
  if something_read or whole['last-generated-id'] == delivered then
    set_entries_read(delivered, added)
    return {}
  end
  local first_left = whole['first-entry'] and whole['first-entry'][1] or ''
  if not read then
    set_entries_read(delivered, gone)
    -- A new group, which begins at the stream's beginning; any other has lost count, and so have we.
    return delivered == '0-0' and gone > 0 and {gone, delivered, first_left, 1} or {}
  end
  if gone <= read then return {} end
  set_entries_read(delivered, gone)
  return {gone - read, delivered, first_left, 0}
end

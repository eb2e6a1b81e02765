-- A turn of one instance at a stream that several instances read in order. Called by turns.py.
--
-- Only the owner of the stream's lease may read, acknowledge or renew, and each take of the lease begins a new epoch, so
-- that an instance that lost it, or comes back over a new connection, learns so. All owners read as one consumer of the
-- group: what one left pending, the next finds in the stream's order.
--
-- KEYS     the stream; its lease, a hash: owner, epoch, until (when it ends, ms), ttl (ms), token, and for each queue
--          `reached|queue`, the last entry whose jobs that was given
-- ARGV     group, instance, the epoch that it has, ttl in ms, the least epoch to take, what to do, after, count,
--          idle ms, how many queues have reached another entry, these with the entry's id, then the ids of entries to
--          acknowledge first
--
--   take     take the lease, if it is free, has run out, or is this instance's own; `after` is a random token, which the
--            lease keeps if it has none
--   rotate   as take, but make the group if there is none, and replace the token: nothing that was noted of this stream
--            in queues under the old one holds any longer
--   new      make sure that the XREADGROUP that follows in the same MULTI continues at `after`, the last id that this
--            instance has read. (Entries that are read in here pass through Lua, which costs the server 4 µs each.) If
--            the turn fails, what that read returned must not be used: a new epoch begins, and finds it pending
--   read     as new, but read up to `count` entries in here: a full server may refuse every MULTI
--   pending  return what is pending after the id `after`, up to `count`, without delivering it again
--   retry    deliver it again: the counts of deliveries grow
--   claim    take over what consumers of other names left pending for longer than `idle`, and deliver it after `after`
--   look     return entries after the id `after`, up to `count`, whatever the group has done with them
--   renew    keep the lease, read nothing
--   release  give it up
--
-- take and rotate return {epoch, server ms, last-delivered-id, owner before, epoch before, token, token before, the first
-- pending id or '', each queue and what it has reached}; the
-- others {server ms, entries {id, fields and values}, how often each was delivered, ids of pending entries that had been
-- deleted and are acknowledged now, a loss as `check` of group_state.lua returns it}. An empty page is the last one.
-- Errors: HELD <ms left> <owner>; FENCED <epoch>: the lease is another's, or of another epoch; NOGROUP. After these
-- nothing was done. For `new` and `read` also: REWOUND, the group was set back, and the token is forgotten, so that no
-- queue takes what is read again for done; MISSED, a late owner has read something since. Both need a new epoch.

local call = redis.call
local stream, lease = KEYS[1], KEYS[2]
local group, me, mine, ttl, least, what, after, count, idle, queues = unpack(ARGV, 1, 10)
local first_id = 11 + 2 * tonumber(queues)
ttl, count = tonumber(ttl), tonumber(count)

local CONSUMER = 'domainstream'
-- Entries of other consumers are kept apart: queues may be past their ids without having them.
local CLAIMED = CONSUMER .. ':claimed'
-- An entry that was delivered more often may be what kills its consumers: it is delivered alone.
local SUSPICIOUS = 2
local KEPT_MS = 7 * 24 * 3600 * 1000

--[[entry_ids]]
--[[group_state]]

local function written(number) return string.format('%.0f', number) end

-- A server whose memory is full refuses a script's first write if that needs memory, and allows those after it. This one
-- needs none, so leases and acknowledgements go on.
call('HDEL', lease, '')

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = call('HMGET', lease, 'owner', 'epoch', 'until', 'ttl', 'token')
local owner, epoch, till = held[1] or '', tonumber(held[2] or 0), tonumber(held[3] or 0)
local token = held[5]

-- The clock went back: the lease ends at most one term from now. That is written, or it would stay as far ahead.
local latest = now + math.max(ttl, tonumber(held[4] or 0))
if till > latest then
  till = latest
  call('HSET', lease, 'until', written(till))
end

local function keep(...)
  call('HSET', lease, 'until', written(now + ttl), 'ttl', written(ttl), ...)
  call('PEXPIRE', lease, KEPT_MS)
end

local function no_group() return redis.error_reply('NOGROUP no group ' .. group .. ' on ' .. stream) end

-- What each queue has reached. After a new token that means nothing.
local function take_over_reached(is_new_token)
  local reached, fields = {}, call('HGETALL', lease)
  for at = 1, #fields, 2 do
    local queue = string.match(fields[at], '^reached|(.*)$')
    if queue and is_new_token then
      call('HDEL', lease, fields[at])
    elseif queue then
      reached[#reached + 1], reached[#reached + 2] = queue, fields[at + 1]
    end
  end
  return reached
end

local function take()
  if owner ~= '' and owner ~= me and till > now then
    return redis.error_reply('HELD ' .. written(till - now) .. ' ' .. owner)
  end
  local state = state_of(stream)
  if not state and what == 'take' then return no_group() end
  if not state then
    call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
    state = state_of(stream)
  end
  local new_token = (what == 'rotate' or not token) and after or token
  -- Also for the same owner: what it sent over an earlier connection may still arrive. The clock makes epochs grow even
  -- if the lease was lost.
  local new_epoch, delivered = written(math.max(epoch + 1, now, tonumber(least))), state['last-delivered-id']
  keep('owner', me, 'epoch', new_epoch, 'token', new_token)
  local first_pending = call('XPENDING', stream, group)[2] or ''
  local before = {new_epoch, written(now), delivered, owner, written(epoch), new_token, token or '', first_pending}
  for _, part in ipairs(take_over_reached(new_token ~= token)) do before[#before + 1] = part end
  return before
end

local function acknowledge(ids, first)
  for at = first, #ids, 1000 do call('XACK', stream, group, unpack(ids, at, math.min(at + 999, #ids))) end
end

-- Why the group does not stand where this instance has read to; nothing if it does.
local function wrong_place(delivered)
  if comes_before(delivered, after) then
    call('HDEL', lease, 'token')
    return redis.error_reply('REWOUND the group was set back to ' .. delivered)
  end
  -- The group is further than this instance: consumers of other names have read, or an owner that did not know better.
  if delivered ~= after and #call('XPENDING', stream, group, '(' .. after, delivered, 1, CONSUMER) > 0 then
    return redis.error_reply('MISSED something was read after ' .. after)
  end
end

local function read_new()
  local reply = call('XREADGROUP', 'GROUP', group, CONSUMER, 'COUNT', count, 'STREAMS', stream, '>')
  local entries, times = reply and reply[1][2] or {}, {}
  for number in ipairs(entries) do times[number] = 1 end
  return entries, times
end

local function entry_at(id) return call('XRANGE', stream, id, id)[1] end

-- Each of the entries that are pending, as {id, consumer, idle, deliveries}: up to where the group has read. After it was
-- set back, more are pending; they come as new again, in the stream's order. Added now, they would move queues' marks past
-- those before them that come again, too.
local function pending_of(consumer)
  local delivered = state_of(stream)['last-delivered-id']
  return call('XPENDING', stream, group, '(' .. after, delivered, count, consumer)
end

local function look_at_pending()
  local entries, times, deleted = {}, {}, {}
  for _, row in ipairs(pending_of(CONSUMER)) do
    local entry = entry_at(row[1])
    if entry then
      entries[#entries + 1], times[#times + 1] = entry, row[4]
    else
      deleted[#deleted + 1] = row[1]
    end
  end
  return entries, times, deleted
end

local function deliver_again(consumer)
  local rows, size = pending_of(consumer), 0
  for _, row in ipairs(rows) do
    if row[4] > SUSPICIOUS then break end
    size = size + 1
  end
  if #rows == 0 then return {}, {}, {} end
  local entries, times, deleted = {}, {}, {}
  local reply = call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', math.max(size, 1), 'STREAMS', stream, after)
  for number, entry in ipairs(reply[1][2]) do
    if entry[2] then
      entries[#entries + 1], times[#times + 1] = entry, rows[number][4] + 1
    else
      deleted[#deleted + 1] = entry[1]
    end
  end
  return entries, times, deleted
end

local function claim()
  local deleted = {}
  for _, list in ipairs(call('XINFO', 'CONSUMERS', stream, group)) do
    local consumer, ids = fields_of(list), {}
    local name = consumer['name']
    local others = name ~= CONSUMER and name ~= CLAIMED and consumer['pending'] > 0
    local rows = others and call('XPENDING', stream, group, 'IDLE', idle, '-', '+', count, name) or {}
    for _, row in ipairs(rows) do
      local found = entry_at(row[1]) and ids or deleted
      found[#found + 1] = row[1]
    end
    if #ids > 0 then
      ids[#ids + 1] = 'JUSTID' -- which does not count it as a delivery: the one below does
      call('XCLAIM', stream, group, CLAIMED, idle, unpack(ids))
    end
  end
  local entries, times, gone = deliver_again(CLAIMED)
  for _, id in ipairs(gone) do deleted[#deleted + 1] = id end
  return entries, times, deleted
end

local function turn()
  if owner ~= me or epoch ~= tonumber(mine) then return redis.error_reply('FENCED ' .. written(epoch)) end
  local is_read = what ~= 'renew' and what ~= 'release'
  local state = is_read and state_of(stream)
  if is_read and not state then return no_group() end
  for at = 11, first_id - 2, 2 do call('HSET', lease, 'reached|' .. ARGV[at], ARGV[at + 1]) end
  acknowledge(ARGV, first_id)
  local entries, times, deleted, loss = {}, {}, {}, {}
  if what == 'release' then
    call('HSET', lease, 'owner', '', 'until', '0')
    return {written(now), entries, times, deleted, loss}
  end
  if what == 'new' or what == 'read' then
    local problem = wrong_place(state['last-delivered-id'])
    if problem then return problem end
    loss = check(stream, state, #ARGV >= first_id) or loss
    if what == 'read' then entries, times = read_new() end
  elseif what == 'pending' then
    entries, times, deleted = look_at_pending()
  elseif what == 'retry' then
    entries, times, deleted = deliver_again(CONSUMER)
  elseif what == 'look' then
    entries = call('XRANGE', stream, '(' .. after, '+', 'COUNT', count)
    for number in ipairs(entries) do times[number] = 1 end
  elseif what == 'claim' then
    entries, times, deleted = claim()
  end
  acknowledge(deleted, 1)
  -- Not at every turn: each write is one for the replicas, too.
  if till - now < ttl * 2 / 3 then keep() end
  return {written(now), entries, times, deleted, loss}
end

if what == 'take' or what == 'rotate' then return take() end
return turn()

-- Shared by turn.lua and recover.lua: whether this instance owns the lease, and how a turn acknowledges and renews.

local call = redis.call
local stream, lease = KEYS[1], KEYS[2]
local group, me, epoch, ttl, reached_count = unpack(ARGV, 1, 5)
local first_id = 7 + 2 * tonumber(reached_count)
local last_id = first_id - 1 + tonumber(ARGV[first_id - 1])
local has_acknowledged = last_id >= first_id
local next_argument = last_id + 1

local CONSUMER = 'domainstream'
local KEPT_MS = 7 * 24 * 3600 * 1000

local held = call('HMGET', lease, 'owner', 'epoch')
if held[1] ~= me or held[2] ~= epoch then return redis.error_reply('FENCED ' .. (held[2] or '0')) end

local function acknowledge(ids, first, last)
  for at = first, last, 1000 do call('XACK', stream, group, unpack(ids, at, math.min(at + 999, last))) end
end

-- Acknowledges, and writes to the lease: the fields `noted`, what queues have reached, and when it ends now.
local function settle(noted)
  acknowledge(ARGV, first_id, last_id)
  for at = 6, first_id - 3, 2 do noted[#noted + 1], noted[#noted + 2] = 'reached|' .. ARGV[at], ARGV[at + 1] end
  local is_renewed = ttl ~= '0'
  if is_renewed then
    local time = call('TIME')
    local till = time[1] * 1000 + math.floor(time[2] / 1000) + ttl
    for _, part in ipairs({'until', string.format('%.0f', till), 'ttl', ttl}) do noted[#noted + 1] = part end
  end
  if #noted == 0 then return end
  -- A server whose memory is full refuses a script's first write if that needs memory, and allows those after it.
  if not has_acknowledged then call('HDEL', lease, '') end
  call('HSET', lease, unpack(noted))
  if is_renewed then call('PEXPIRE', lease, KEPT_MS) end
end

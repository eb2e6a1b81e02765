-- Takes or renews the leases of a consumer name, of all its streams or of none.
--
-- KEYS     one lease for each stream
-- ARGV     token, lifetime in milliseconds, the remaining milliseconds below which a lease of another is stale
--
-- Returns {} when all leases are held by the token now, else {the token of another holder}.

local token, lifetime, stale = ARGV[1], ARGV[2], tonumber(ARGV[3])

for _, key in ipairs(KEYS) do
  local holder = redis.call('GET', key)
  if holder and holder ~= token and redis.call('PTTL', key) >= stale then return {holder} end
end

for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == token then
    -- Needs no memory, so a lease outlives a server that is full.
    redis.call('PEXPIRE', key, lifetime)
  else
    redis.call('SET', key, token, 'PX', lifetime)
  end
end
return {}

Feature: Production mode believes nobody without proof
  Naming a visitor is not enough: whoever asks brings the visitor's ticket or pass along.

  Scenario Outline: Without the ticket one <verb> in vain
    Given a waiting room in production
    And Ann is READY
    When Ann <verb> without X-Queue-Token
    Then the call is refused with 401 Q003
    And Ann is READY

    Examples:
      | verb                |
      | asks for the status |
      | activates           |
      | leaves              |
      | subscribes          |

  Scenario: Without the ticket nobody's time is extended
    Given a waiting room in production
    And Ann is ACTIVE
    When Ann extends without X-Queue-Token
    Then the call is refused with 401 Q003

  Scenario: Not even strangers are told that they are unknown
    Given a waiting room in production
    When Ann asks for the status
    Then the call is refused with 401 Q003

  Scenario: With another visitor's ticket nothing is told
    Given a waiting room in production
    And Ann is READY
    And Ben is READY
    When Ann asks for the status with Ben's token
    Then the call is refused with 401 Q003

  Scenario: With the ticket everything is told
    Given a waiting room in production
    And Ann is READY
    When Ann asks for the status with the ticket
    Then the answer is 200
    And the answer says
      | status | READY |
      | token  | some  |

  Scenario: A browser brings the ticket along in a cookie
    Given a waiting room in production
    When Ann enters
    And Ann asks for the status with the cookie from the entrance
    Then the answer is 200

  Scenario: Whoever enters under the name of another is not given the ticket
    Given a waiting room in production
    And Ann is READY
    When Ann enters without X-Queue-Token
    Then the answer is 201
    And the answer says
      | token      | none  |
      | isNewEntry | false |

  Scenario: There is no line but those that an operator has made
    Given a waiting room in production
    When Ann enters with concertId = "made up"
    Then the call is refused with 404 C004

  Scenario Outline: Another visitor's token does not <verb>
    Given a concert with the seats A-1, A-2
    And Ann holds seat A-1
    And Ben is READY
    When Ann <verb> with Ben's token
    Then the call is refused with 401 Q003
    And Ann's reservation is PENDING

    Examples:
      | verb                     |
      | looks at the reservation |
      | cancels the reservation  |
      | pays                     |
